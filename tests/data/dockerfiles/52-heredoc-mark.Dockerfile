FROM alpine
COPY --chmod=0640 <<EOF /etc/a
E2B_HEREDOC_EOF
and E2B_HEREDOC_EOF__
EOF
COPY <<'é.x y' dir
plain
é.x y
RUN <<"a b"
#!/bin/sh
E2B_HEREDOC_a_b
a b
