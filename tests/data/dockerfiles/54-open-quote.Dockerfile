FROM alpine
RUN true
ENV A="b c
RUN true
