FROM alpine
COPY /etc/passwd /x
