FROM debian
COPY --link a b
ADD --checksum=sha256:24454f830cdb571e2c4ad15481119c43b3cafd48dd869a9b2945d1036d1dc68d local.bin /opt/
COPY --exclude=*.md --parents docs/ /docs/
