FROM alpine
RUN true
COPY <<EOF /etc/a
an ${OPEN:-one
EOF
