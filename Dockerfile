# Foghorn's image: one program, no shell, not root, and nothing it needs to write.
#   docker build -t foghorn .
#   docker buildx build --platform linux/amd64,linux/arm64 -t foghorn .
# The compiler always runs on the builder's own processor and builds for the other one where asked: no emulation.

FROM --platform=$BUILDPLATFORM rust:1.89-slim-bookworm AS build
ARG TARGETARCH
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
WORKDIR /foghorn
# hadolint ignore=DL3008
RUN case "$TARGETARCH" in \
        amd64) echo x86_64 x86-64 ;; \
        arm64) echo aarch64 aarch64 ;; \
        *) echo "no such processor here: $TARGETARCH" >&2; exit 1 ;; \
    esac > /target-names; \
    read -r rust debian < /target-names; \
    if [ "$TARGETARCH" = "$(dpkg --print-architecture)" ]; \
        then packages="gcc libc6-dev"; \
        else packages="gcc-$debian-linux-gnu libc6-dev-$TARGETARCH-cross"; \
    fi; \
    apt-get update; \
    xargs apt-get install -y --no-install-recommends <<< "$packages"; \
    rm -rf /var/lib/apt/lists/*; \
    rustup target add "$rust-unknown-linux-gnu"
COPY . .
# What `--version` says, since Git stays outside: --build-arg FOGHORN_COMMIT="$(git rev-parse HEAD)"
ARG FOGHORN_COMMIT SOURCE_DATE_EPOCH
# hadolint forgets it at an ARG.
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
RUN read -r rust _ < /target-names; \
    export "CARGO_TARGET_${rust^^}_UNKNOWN_LINUX_GNU_LINKER=$rust-linux-gnu-gcc" \
        "CC_${rust}_unknown_linux_gnu=$rust-linux-gnu-gcc"; \
    cargo build --locked --release --bin foghorn --target "$rust-unknown-linux-gnu"; \
    "$rust-linux-gnu-strip" -o /usr/bin/foghorn "target/$rust-unknown-linux-gnu/release/foghorn"

FROM gcr.io/distroless/cc-debian12:nonroot
LABEL org.opencontainers.image.title="Foghorn" \
      org.opencontainers.image.description="A clustered notification server, drop-in for Seafile's own" \
      org.opencontainers.image.source="https://github.com/foghorn-notify/foghorn" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /usr/bin/foghorn /usr/bin/foghorn
# Metrics and health only; they are on all of the container's addresses so that proxies and Prometheus reach them.
ENV FOGHORN_OPS_ADDR=0.0.0.0:8084 \
    SEAFILE_LOG_TO_STDOUT=true
USER 65532:65532
EXPOSE 8083 8084
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 CMD ["/usr/bin/foghorn", "status", "--local"]
ENTRYPOINT ["/usr/bin/foghorn"]
