#!/usr/bin/env bash
# evalica 0.4.2 (eigen, rankings of models from comparisons in pairs).
# Guess: as with its other methods (counting, bradley_terry, newman, elo, pagerank), a higher score
#   is a better model.
# Seen: eigen gives the best model the lowest score: its score is the eigenvector of the matrix that
#   says who lost to whom. A leaderboard that tries the methods in turn is turned upside down, with
#   either solver.
# Output (a beat b 8 : 2, b beat c 8 : 2, a beat c 9 : 1; from the highest score to the lowest):
#   counting       a 17.00  b 10.00  c 3.00
#   bradley_terry  a 3.47  b 1.00  c 0.29
#   newman         a 3.47  b 1.00  c 0.29
#   elo            a 1024.81  b 1000.60  c 974.59
#   pagerank       a 0.40  b 0.37  c 0.23
#   eigen          c 0.83  b 0.49  a 0.25
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q evalica==0.4.2
"$folder/venv/bin/python" - <<'PYTHON'
import evalica

WINS = {"ab": 8, "ba": 2, "bc": 8, "cb": 2, "ac": 9, "ca": 1}
METHODS = ("counting", "bradley_terry", "newman", "elo", "pagerank", "eigen")
games = [pair for pair, number in WINS.items() for _ in range(number)]
winners, losers = zip(*games, strict=True)
for method in METHODS:
    result = getattr(evalica, method)(winners, losers, [evalica.Winner.X] * len(games))
    ranking = result.scores.sort_values(ascending=False)
    print(f"{method:14} ", "  ".join(f"{name} {score:.2f}" for name, score in ranking.items()))
    assert "".join(ranking.index) == ("cba" if method == "eigen" else "abc"), (method, ranking)
PYTHON
