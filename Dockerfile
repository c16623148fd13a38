# The page and the command `tuneboard` in one image; docs/deployment.md says how it is run.
#   docker build -t tuneboard .                            for NVIDIA GPUs, about 8 GB
#   docker build -t tuneboard --build-arg DEVICE=cpu .     for a processor alone, 2.1 GB
# BASE     an image with Python 3.11 or newer as python3, and its venv
# DEVICE   cuda, or cpu
# TORCH    what is installed as torch: a version, or the file of a wheel
# EXTRAS   optional packages by their names in pyproject.toml: bitsandbytes,liger
ARG BASE=python:3.11-slim-bookworm

# hadolint ignore=DL3006
FROM ${BASE} AS build
ARG DEVICE=cuda
ARG TORCH=torch
ARG EXTRAS=
ENV UV_LINK_MODE=copy UV_NO_CACHE=1 UV_COMPILE_BYTECODE=1 VIRTUAL_ENV=/opt/tuneboard
WORKDIR /build
COPY constraints.txt pyproject.toml ./
RUN python3 -m venv tools \
    && tools/bin/pip install --no-cache-dir --constraint constraints.txt uv \
    && tools/bin/uv venv --python "$(command -v python3)" /opt/tuneboard
# torch alone first: the largest layer, made again only when a version changes.
RUN case "$DEVICE" in \
        cuda) backend= ;; \
        cpu) backend=--torch-backend=cpu ;; \
        *) echo "DEVICE is cuda or cpu, not $DEVICE" >&2; exit 2 ;; \
    esac \
    && tools/bin/uv pip install ${backend} --constraint constraints.txt "$TORCH"
RUN tools/bin/uv pip install --constraint constraints.txt --requirements pyproject.toml \
        --extra page --extra worker dumb-init
COPY README.md LICENSE ./
COPY app app
COPY backend backend
COPY locales locales
COPY data data
RUN tools/bin/uv pip install --constraint constraints.txt ".[page,worker${EXTRAS:+,$EXTRAS}]"

# hadolint ignore=DL3006
FROM ${BASE}
RUN useradd --uid 1000 --create-home tuneboard \
    && install --directory --owner=tuneboard --group=tuneboard \
        /srv/tuneboard /srv/tuneboard/data /srv/tuneboard/saves /srv/tuneboard/models \
        /home/tuneboard/.cache /home/tuneboard/.cache/huggingface
COPY --from=build /opt/tuneboard /opt/tuneboard
ENV PATH=/opt/tuneboard/bin:$PATH \
    TUNEBOARD_HOME=/srv/tuneboard \
    TUNEBOARD_STOP_RUNS=1 \
    GRADIO_SERVER_NAME=0.0.0.0 \
    HF_HOME=/home/tuneboard/.cache/huggingface \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
WORKDIR /srv/tuneboard
USER 1000:1000
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:7860/healthz', timeout=4)"]
# dumb-init is process 1: it passes SIGTERM on to the page, and takes in what has lost its parent.
ENTRYPOINT ["dumb-init", "--single-child", "--", "tuneboard"]
CMD ["webui"]
