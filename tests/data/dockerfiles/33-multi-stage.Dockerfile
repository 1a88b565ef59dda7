FROM node:20 AS build
RUN npm run build
FROM nginx
COPY --from=build /app/dist /usr/share/nginx/html
