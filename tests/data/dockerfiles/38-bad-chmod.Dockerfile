FROM alpine
COPY --chmod=rwx a b
