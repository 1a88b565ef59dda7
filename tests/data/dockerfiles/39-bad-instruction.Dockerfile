FROM alpine
RUN echo a
INSTALL curl
