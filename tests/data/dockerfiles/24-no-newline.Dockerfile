FROM alpine
RUN echo last line without an end