# syncd as a container. Settings come from a mounted /etc/syncd/syncd.toml or from variables (SYNCD_STORE__ID=17), the hub's token from
# /run/secrets/hub_access_token. The till's database lies in /var/lib/syncd; who shares it runs with the group 10001.
# Any base will do that has Python 3.11 or newer, its venv module and CA certificates.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
WORKDIR /src
COPY requirements.lock requirements-build.lock ./
RUN python3 -m venv /build \
 && /build/bin/pip install --require-hashes --requirement requirements-build.lock \
 && python3 -m venv --without-pip /opt/syncd \
 && /build/bin/pip --python /opt/syncd/bin/python install --require-hashes --requirement requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY syncd syncd
RUN /build/bin/pip wheel --no-index --no-deps --no-build-isolation --wheel-dir /wheel . \
 && /build/bin/pip --python /opt/syncd/bin/python install --no-index --no-deps /wheel/*.whl

FROM ${BASE}
COPY --from=build /opt/syncd /opt/syncd
RUN groupadd --system --gid 10001 syncd \
 && useradd --system --uid 10001 --gid syncd --home-dir /var/lib/syncd --no-create-home --shell /usr/sbin/nologin syncd \
 && install --directory --owner=syncd --group=syncd --mode=2770 /var/lib/syncd \
 && install --directory --owner=syncd --group=syncd --mode=0755 /run/syncd
LABEL org.opencontainers.image.title="syncd" \
      org.opencontainers.image.description="Keeps a store's SQLite database and its headquarters' SignalR hub in step" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.vendor="the authors of syncd"
ENV PATH=/opt/syncd/bin:$PATH
USER 10001:10001
VOLUME /var/lib/syncd
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s CMD ["syncd", "healthcheck"]
ENTRYPOINT ["syncd"]
CMD ["run"]
