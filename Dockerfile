# The image of all of vpplb's programs: Python, the locked dependencies, the package.
FROM python:3.11-slim AS build
WORKDIR /src
COPY requirements/run.txt requirements/
RUN pip install --no-cache-dir --no-compile --require-hashes --prefix /install -r requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY operator operator
RUN pip install --no-cache-dir --no-compile --no-deps --prefix /install .

FROM python:3.11-slim
LABEL org.opencontainers.image.title="vpplb" \
      org.opencontainers.image.description="A Kubernetes operator for VPP as a Maglev load balancer" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /install /usr/local
ENV PYTHONUNBUFFERED=1
USER 65532:65532
ENTRYPOINT []
CMD ["vpplb", "--help"]
