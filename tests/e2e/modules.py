"""A page of Chromium that holds nothing but scripts of app/browser."""

from playwright.sync_api import Page, Route

from tests.architecture import SCRIPTS


def serve_modules(page: Page, url: str, html: str) -> None:
    """Answer `url` (with a slash at its end) with `html`, and names after it with the scripts."""

    def serve(route: Route) -> None:
        name = route.request.url.removeprefix(url)
        if name:
            route.fulfill(path=SCRIPTS / name, content_type="text/javascript")
        else:
            route.fulfill(body=html, content_type="text/html")

    page.route("**/*", serve)
