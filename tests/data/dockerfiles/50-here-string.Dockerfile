FROM alpine
RUN cat <<<"one" && echo $((1<<2))
