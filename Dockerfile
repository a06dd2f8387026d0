# The image of vpplb's programs: Debian's Python, the locked dependencies, the package, and what is
# said of them (licences, SBOM). No shell, no package manager, nobody but an unprivileged user.
#
# Nothing of the target is run while it is made, so that every machine makes it for every platform,
# without emulation. `packaging/image/build` gives the same bytes each time (docs/image.md).
ARG BASE=debian:bookworm-slim
FROM --platform=$BUILDPLATFORM ${BASE} AS build
# What is downloaded is checked with the authorities that the base trusts.
ENV DEBIAN_FRONTEND=noninteractive \
    PIP_CERT=/etc/ssl/certs/ca-certificates.crt \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    UV_NO_CACHE=1
RUN apt-get update -q && apt-get install -qy --no-install-recommends \
    binutils-multiarch ca-certificates python3-venv
COPY requirements/image.txt /src/requirements/
RUN python3 -m venv /tools && \
    /tools/bin/pip install --quiet --no-compile --require-hashes -r /src/requirements/image.txt
ARG TARGETARCH
COPY packaging/image/debian-packages packaging/image/unpack-debian /src/packaging/image/
RUN /src/packaging/image/unpack-debian "${TARGETARCH}" /image
COPY requirements/traces.txt /src/requirements/
COPY packaging/image/install-python /src/packaging/image/
RUN /src/packaging/image/install-python "${TARGETARCH}" /image -r /src/requirements/traces.txt
COPY pyproject.toml README.md LICENSE /src/
COPY operator /src/operator
ARG SOURCE_DATE_EPOCH=0
COPY packaging/image/finish packaging/image/list_contents.py /src/packaging/image/
RUN SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH}" /src/packaging/image/finish /image

FROM scratch
ARG REVISION=unknown
ARG VERSION=unknown
LABEL org.opencontainers.image.title="vpplb" \
      org.opencontainers.image.description="A Kubernetes operator for VPP as a Maglev load balancer" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=build /image /
ENV PATH=/usr/local/bin:/usr/bin PYTHONUNBUFFERED=1 SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
USER 65532:65532
ENTRYPOINT []
CMD ["vpplb", "--help"]
