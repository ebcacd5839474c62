# FarmLokal as an image: what serves, at the versions and hashes of requirements/image.lock, and nothing that built it.
#
#   docker build -t farmlokal-backend .
#   docker run -p 3001:3000 farmlokal-backend
#
# A deployment pins the base by its digest: --build-arg PYTHON_IMAGE=python:3.13-slim-bookworm@sha256:...
ARG PYTHON_IMAGE=python:3.13-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
# In layers of their own: they change less often than the program.
COPY requirements/build.lock requirements/image.lock requirements/
# A machine with a package index of its own gives pip's configuration: docker build --secret id=pip,src=pip.conf
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    python3 -m venv tools \
 && tools/bin/pip install --quiet --require-hashes --only-binary :all: -r requirements/build.lock \
 && python3 -m venv --without-pip /opt/farmlokal \
 && tools/bin/pip --python /opt/farmlokal/bin/python install --quiet --require-hashes --only-binary :all: -r requirements/image.lock
COPY pyproject.toml README.md LICENSE ./
COPY scripts/inventory.py scripts/
COPY src src
RUN PATH="/build/tools/bin:$PATH" pip wheel --quiet --no-index --no-deps --no-build-isolation --wheel-dir dist . \
 && tools/bin/pip --python /opt/farmlokal/bin/python install --quiet --no-index --no-deps dist/*.whl \
 && /opt/farmlokal/bin/python scripts/inventory.py sbom > /opt/farmlokal/sbom.cdx.json
COPY --chmod=0755 deploy/image/start deploy/image/healthy /opt/farmlokal/bin/
# Made here, because a folder that a volume is first mounted on gives it owner and mode.
RUN mkdir -p /srv/farmlokal/var && chown -R 10001:10001 /srv/farmlokal

FROM ${PYTHON_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="FarmLokal" \
      org.opencontainers.image.description="The backend of a hyperlocal produce marketplace" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/farmlokal /opt/farmlokal
COPY --from=build --chown=10001:10001 /srv/farmlokal /srv/farmlokal
# A container listens for others, so it is production, which refuses what is unsafe. The rest is left to defaults: a
# database given here would win over the DB_HOST of whoever runs it.
ENV PATH=/opt/farmlokal/bin:$PATH \
    FARMLOKAL_PROFILE=production \
    FARMLOKAL_HOST=0.0.0.0
# By number, so that Kubernetes can see that it is not root.
USER 10001:10001
# The database of the embedded mode is var/farmlokal.db below it, and is all that is written besides /tmp.
WORKDIR /srv/farmlokal
VOLUME /srv/farmlokal/var
EXPOSE 3000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 CMD ["healthy"]
CMD ["start"]
