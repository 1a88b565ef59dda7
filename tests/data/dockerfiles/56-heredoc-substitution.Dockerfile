FROM alpine
COPY <<EOF /etc/a
${NAME:=x}
EOF
