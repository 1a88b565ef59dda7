FROM alpine
ENTRYPOINT ["/init", "--"]
CMD echo "it's up" && sleep 1
