FROM alpine
COPY src/../../secret /x
