FROM alpine
RUN echo a \

    && echo b \
    # c

    && echo d
