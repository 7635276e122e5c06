# The Grand-Challenge container: reads /input, writes /output, needs no network and no writable root.
# Layers run from what changes least to what changes most: interpreter, torch, other packages, code, weights.
ARG BASE_IMAGE=python:3.11-slim-bookworm
FROM --platform=linux/amd64 ${BASE_IMAGE}

# An environment of its own, because a distribution's python3 refuses pip outside one.
RUN python3 -m venv /opt/venv && useradd --uid 1000 --no-create-home --home-dir /tmp cinetrack
ENV PATH=/opt/venv/bin:$PATH

# The host's pip settings and certificate are mounted for these two steps only (see build.sh); both may be absent.
WORKDIR /opt/cinetrack
COPY requirements-torch.txt ./
RUN --mount=type=secret,id=pip_conf --mount=type=secret,id=ca_bundle \
    export PIP_CONFIG_FILE=/run/secrets/pip_conf PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 \
    && python -m pip install --requirement requirements-torch.txt
# sam2 is published as source and builds against the torch above; its CUDA extension (hole filling) is not used.
COPY requirements.txt ./
RUN --mount=type=secret,id=pip_conf --mount=type=secret,id=ca_bundle \
    export PIP_CONFIG_FILE=/run/secrets/pip_conf PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 \
    && SAM2_BUILD_CUDA=0 python -m pip install --no-build-isolation --requirement requirements.txt \
    && python -m pip check

# Whatever a package wants to keep goes to /tmp, the one scratch folder there is; nothing is looked up on a hub.
ENV HOME=/tmp \
    HF_HUB_OFFLINE=1 \
    MPLCONFIGDIR=/tmp/matplotlib \
    NUMBA_CACHE_DIR=/tmp/numba \
    TORCHINDUCTOR_CACHE_DIR=/tmp/torchinductor \
    TRITON_CACHE_DIR=/tmp/triton \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    nnUNet_raw=/tmp/nnunet/raw \
    nnUNet_preprocessed=/tmp/nnunet/preprocessed \
    nnUNet_results=/tmp/nnunet/results \
    nnUNet_compile=false

# Readable by any user, whatever the clone's umask was.
COPY --chmod=755 LICENSE inference.py ./
COPY --chmod=755 cinetrack/ cinetrack/
RUN python -m compileall -q cinetrack
COPY --chmod=755 resources/ resources/

USER cinetrack
ENTRYPOINT ["python", "/opt/cinetrack/inference.py"]
