FROM alpine
RUN ["/bin/sh", "-c", "echo 'hello world' > /greeting"]
RUN [ "echo" , "a b" , "$HOME" ]
RUN [not json
CMD [ "cat", "/greeting" ]
