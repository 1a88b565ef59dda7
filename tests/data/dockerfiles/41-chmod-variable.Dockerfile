FROM alpine
ARG MODE=0750
ENV OTHER=0640
COPY --chmod=$MODE a /a
COPY --chmod=${OTHER} b /b
