#!/usr/bin/env bash
# evalica 0.4.2 (newman, rankings of models from comparisons in pairs).
# Guess: without draws Newman's method finds the scores of Bradley and Terry, as his paper says:
#   two models with 30 wins to 10 have scores of which one is three times the other.
# Seen: with two models, the commonest comparison, the scores jump to and fro and never settle. After
#   the 100 rounds that it does both are 1, whoever won more; after 101 one is nine times the other.
#   Nothing is said; only `iterations`, which equals `limit`, tells. One draw among the games or a
#   third model, and they settle near or on the right ones.
# Output (score of the winner divided by that of the loser):
#   bradley_terry        3.00
#   newman, limit 100    1.00
#   newman, limit 101    9.00
#   newman and one draw  2.98
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q evalica==0.4.2
"$folder/venv/bin/python" - <<'PYTHON'
from evalica import Winner, bradley_terry, newman

GAMES = [Winner.X] * 30 + [Winner.Y] * 10


def ratio(method, games, **options):
    result = method(["a"] * len(games), ["b"] * len(games), games, **options)
    return result.scores["a"] / result.scores["b"]


seen = {
    "bradley_terry": ratio(bradley_terry, GAMES),
    "newman, limit 100": ratio(newman, GAMES),
    "newman, limit 101": ratio(newman, GAMES, limit=101),
    "newman and one draw": ratio(newman, [*GAMES, Winner.Draw]),
}
for title, number in seen.items():
    print(f"{title:19}  {number:.2f}")
assert [round(number, 1) for number in seen.values()] == [3, 1, 9, 3], seen
PYTHON
