FROM alpine
ENTRYPOINT ["/init", "--"]
CMD run
