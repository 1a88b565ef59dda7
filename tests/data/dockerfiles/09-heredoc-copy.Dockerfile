FROM nginx:1.27
COPY <<'CONF' /etc/nginx/conf.d/default.conf
server {
    listen 80;
    location / { return 200 "ok $host"; }
}
CONF
CMD ["nginx", "-g", "daemon off;"]
