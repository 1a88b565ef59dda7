# syntax=docker/dockerfile:1.7
# check=skip=all
FROM scratch AS base
COPY hello /
CMD ["/hello"]
