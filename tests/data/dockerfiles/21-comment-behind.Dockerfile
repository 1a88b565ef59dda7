# first

# second
FROM alpine # not a comment
