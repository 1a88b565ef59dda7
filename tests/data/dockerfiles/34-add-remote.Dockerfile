FROM alpine
ADD https://example.com/file.tgz /opt/
