FROM debian
RUN --mount=type=cache,target=/var/cache/apt apt-get update
