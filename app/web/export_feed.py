"""The download of a finished export as one zip file, in parts where a browser asks for them."""

import re
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse

from app.services.models import export_archive

RANGE = re.compile(r"bytes=(\d*)-(\d*)", re.ASCII)  # RFC 9110, 14.1.2; one range only

router = APIRouter()


@router.api_route("/own/export", methods=["GET", "HEAD"])
def download_export(run: str, request: Request) -> Response:
    """The zip file of the folder that a run has exported, or the range of it that is asked for.

    A range is given only while the files are those of the first request (If-Range).
    """
    archive = export_archive.find(run)
    if archive is None:
        return Response(status_code=404)
    size, stamp = archive.size, f'"{archive.stamp}"'
    headers = {
        "accept-ranges": "bytes",
        "etag": stamp,
        "cache-control": "no-store",
        "content-disposition": f"attachment; filename*=UTF-8''{quote(archive.name)}",
    }
    wanted = request.headers.get("range", "")
    if request.headers.get("if-range", stamp) != stamp:
        wanted = ""
    begin, end, status = 0, size, 200
    if RANGE.fullmatch(wanted) and wanted != "bytes=-":
        begin, end = parse_range(wanted, size)
        status = 206
        headers["content-range"] = f"bytes {begin}-{end - 1}/{size}"
        if begin >= end:
            return Response(status_code=416, headers={"content-range": f"bytes */{size}"})
    headers["content-length"] = str(end - begin)
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type="application/zip")
    parts = archive.read(begin, end)
    return StreamingResponse(parts, status, headers, media_type="application/zip")


def parse_range(text: str, size: int) -> tuple[int, int]:
    """The first byte of a Range header such as bytes=5-9, bytes=5- or bytes=-5, and the byte after
    its last one; an empty range where the file ends before."""
    first, last = (int(each) if each else None for each in text.removeprefix("bytes=").split("-"))
    if first is None:
        return max(0, size - (last or 0)), size
    return first, size if last is None else min(size, last + 1)
