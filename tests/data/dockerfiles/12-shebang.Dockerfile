FROM ruby:3.3
RUN <<SCRIPT
#!/usr/bin/env ruby
puts "hello"
SCRIPT
