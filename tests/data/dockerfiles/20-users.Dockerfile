FROM fedora:40
RUN dnf install -y gcc make && dnf clean all
RUN useradd builder
USER builder
WORKDIR /home/builder/work
RUN make --version
USER root
RUN rm -rf /tmp/*
USER builder
