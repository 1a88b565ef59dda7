FROM alpine
WORKDIR "/a b"
COPY ["with space.txt", "other", "/dest dir/"]
COPY "quoted.txt" '/single quoted'
RUN echo "a 'b' \"c\"" 'd "e"'
USER "me"
