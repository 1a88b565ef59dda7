FROM alpine
ENTRYPOINT exec top -b
CMD -H
