"""The image does what the page promises: a login, a run, a death, a run that goes on."""

import os
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from backend.contract.runs import run_folder
from backend.contract.runs.states import State
from backend.contract.system.files import read_json
from backend.contract.texts.locales import t
from tests.e2e.test_run_life import fill_form, in_state, runs_of
from tests.e2e.test_tabs import open_tab
from tests.failures.conftest import free_port, until
from tests.image.engine import AGAIN, IMAGE, ROOM, ROOT, Container, Engine, container

pytestmark = [pytest.mark.image, pytest.mark.timeout(3600)]
GB = 10**9
CANARY = "CANARY-7f1c"
PRIVATE = (
    ".env",
    "login.txt",
    "saves/m/lora/run/log.txt",
    "models/m/key",
    "data/mine.json",
    "app/.env",
)
LOGIN = {"username": "me", "password": "right"}


@pytest.fixture(scope="module")
def engine() -> Engine:
    """The image, built from what git knows of this checkout, among files that are private."""
    missing = [name for name in ("buildah", "debootstrap", "unshare") if not shutil.which(name)]
    assert not missing, f"apt-get install {' '.join(missing)}"
    room = Path(os.environ[ROOM])
    room.mkdir(parents=True, exist_ok=True)
    engine = Engine(room)
    if os.environ.get(AGAIN):
        return engine
    engine.make_base()
    context = room / "context"
    shutil.rmtree(context, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    for name in listed:
        (context / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, context / name)
    for name in PRIVATE:
        (context / name).parent.mkdir(parents=True, exist_ok=True)
        (context / name).write_text(CANARY)
    engine.build(context)
    return engine


@pytest.fixture
def served(
    engine: Engine, tmp_path: Path, tiny_model_dir: Path
) -> Iterator[tuple[Container, Path]]:
    """A container as compose makes one, with the tiny model in its volume of runs; and its home."""
    home, login = tmp_path / "home", tmp_path / "login"
    login.write_text("me:right\n")
    shutil.copytree(tiny_model_dir, home / "saves" / "models" / "tiny")
    for name in ("data", "models", "hub"):
        (home / name).mkdir()
    subprocess.run(["chown", "-R", "1000:1000", home], check=True)
    volumes = {home / name: f"/srv/tuneboard/{name}" for name in ("data", "saves", "models")}
    volumes |= {home / "hub": "/home/tuneboard/.cache/huggingface", login: "/run/secrets/login"}
    env = {"TUNEBOARD_LOGIN_FILE": "/run/secrets/login", "GRADIO_SERVER_PORT": str(free_port())}
    with container(engine, volumes, env) as made:
        yield made, home


def test_it_is_small_and_holds_no_secret(engine: Engine) -> None:
    size = engine.size()
    print(f"\n{IMAGE}: {size / GB:.2f} GB")
    assert size < 3 * GB
    config = engine.config()
    assert config["User"] == "1000:1000"
    assert "find-links" not in str(config)
    name = engine("from", IMAGE)
    root = Path(engine("mount", name))
    assert (root / "opt/tuneboard/bin/tuneboard").is_file()
    for bound in ("etc/pip.conf", "etc/uv/uv.toml"):  # of what was bound in, an empty file is left
        assert not (root / bound).exists() or (root / bound).read_bytes() == b""
    places = [root / place for place in ("opt/tuneboard/lib", "srv", "home", "root", "tmp", "etc")]
    search = subprocess.run(["grep", "-rl", CANARY, *places], capture_output=True, text=True)
    assert (search.returncode, search.stdout) == (1, "")
    engine("rm", name)


def test_without_a_login_it_does_not_start(engine: Engine) -> None:
    with container(engine, {}, {}) as made:
        made.start()
        assert made.process is not None
        output = made.process.communicate(timeout=60)[0]
        assert t("problem.exposed_without_login", host="0.0.0.0") in output
        assert made.process.returncode != 0


def test_runs_outlive_the_container(served: tuple[Container, Path], browser: Browser) -> None:
    """Two steps by mouse; a long run killed with the container is found, resumed, stopped with it,
    and found once more, with a checkpoint of its very last step."""
    made, home = served
    page = opened(made, browser)
    fill_form(page)
    train(page, "max_steps=2")
    in_state(page, State.SUCCEEDED, timeout=600_000)
    (first,) = runs_of(home)
    train(page, "max_steps=100000\nsave_steps=2")
    in_state(page, State.RUNNING, timeout=600_000)
    (long,) = [run for run in runs_of(home) if run != first]
    until(lambda: run_folder.checkpoints(long), 600)
    page.context.close()
    made.kill()

    page = opened(made, browser)
    in_state(page, State.KILLED)
    expect(page.locator("#train-run-name")).to_contain_text(long.name)
    step = run_folder.checkpoints(long)[-1].step
    page.locator("#train-run-resume").click()
    in_state(page, State.RUNNING, timeout=600_000)
    until(lambda: run_folder.checkpoints(long)[-1].step > step, 600)
    page.context.close()
    output = made.stop()
    inside = f"/srv/tuneboard/{long.relative_to(home)}"
    assert t("webui.run_ended", run=inside, state=t("state.STOPPED")) in output
    view = run_folder.read(long)
    assert (view.state, run_folder.checkpoints(long)[-1].step) == (State.STOPPED, view.step)

    page = opened(made, browser)
    in_state(page, State.STOPPED)
    open_tab(page, t("tab.runs", "en"))
    for run in (first, long):
        expect(page.locator("#runs-table")).to_contain_text(run.name)
    page.context.close()
    assert read_json(first / run_folder.EXIT)["code"] == 0


def opened(made: Container, browser: Browser) -> Page:
    """Start the container; its page in a new browser's context, once its health is good."""
    made.start()
    port = made.env["GRADIO_SERVER_PORT"]
    until(lambda: answers(f"http://127.0.0.1:{port}/healthz") == 200, 600)
    assert answers(f"http://127.0.0.1:{port}/") == 401
    probe = made.engine.config()["Healthcheck"]["Test"]
    words = [word.replace("7860", port) for word in probe[1:]]
    assert subprocess.run(made.argv(*words), capture_output=True).returncode == 0
    context = browser.new_context(http_credentials=LOGIN, locale="en-US")
    context.set_default_timeout(60_000)
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{port}")
    expect(page.locator("#command")).to_contain_text("--output_dir", timeout=90_000)
    return page


def train(page: Page, arguments: str) -> None:
    """Start a training with these arguments besides the form's."""
    page.locator("#extra_args textarea").fill(arguments)
    for pair in arguments.split():
        expect(page.locator("#command")).to_contain_text("--" + pair.replace("=", " "))
    page.locator("#start").click()


def answers(url: str) -> int:
    try:
        return int(urllib.request.urlopen(url, timeout=5).status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0
