FROM alpine
COPY a.txt b.txt c/ d*.md ./all/
ADD e f /g/
