from alpine
run echo lower
env a=b
workdir /x
copy a b
cmd run
