FROM redis:7
HEALTHCHECK --interval=5s CMD redis-cli ping || exit 1
STOPSIGNAL SIGTERM
SHELL ["/bin/bash", "-c"]
ONBUILD RUN echo later
CMD redis-server --save ""
