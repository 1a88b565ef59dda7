FROM alpine:3.20
LABEL org.opencontainers.image.title="demo" \
      org.opencontainers.image.version="1.0"
LABEL maintainer=nobody@example.com
MAINTAINER Nobody <nobody@example.com>
VOLUME ["/data"]
EXPOSE 80/tcp 443/tcp
RUN apk add --no-cache bash git
