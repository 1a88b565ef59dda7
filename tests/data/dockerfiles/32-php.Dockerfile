FROM php:8.3-fpm-alpine
RUN apk add --no-cache libpng-dev libzip-dev \
 && docker-php-ext-install gd zip pdo_mysql
COPY --from=composer:2 /usr/bin/composer /usr/bin/composer
