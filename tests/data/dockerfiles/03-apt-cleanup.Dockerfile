FROM debian:bookworm
RUN set -eux; \
    apt-get update; \
    apt-get install -y --no-install-recommends \
        ca-certificates \
        curl \
        # needed by the build below
        build-essential \
    ; \
    rm -rf /var/lib/apt/lists/*
