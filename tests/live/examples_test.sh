#!/bin/sh
# examples_test.sh - runs each example on the host of the environment and checks
# what it says. ID stands for a sandbox id, N for a number.
set -u
dir=${BUILD:-build}/examples
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

normal() { # what differs from run to run becomes a letter
    sed -e 's/^sandbox [A-Za-z0-9_-]*$/sandbox ID/' -e 's/pid [0-9][0-9]*/pid N/' \
        -e 's/process [0-9][0-9]* is/process N is/' -e 's/ in [0-9]* pieces/ in N pieces/'
}

verdict() { # NAME RESULT
    if [ "$2" = 0 ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED $1; it said:"
        sed 's/^/    /' "$work/out"
    fi
}

# NAME, expected lines on stdin in any order of arrival (the commands of
# two_at_once interleave).
exact() {
    LC_ALL=C sort >"$work/want"
    "$dir/$1" >"$work/out" 2>&1
    rc=$?
    normal <"$work/out" | LC_ALL=C sort | diff "$work/want" - >"$work/diff" || { rc=1; cat "$work/diff"; }
    verdict "$1" $rc
}

# NAME, on stdin a regular expression a line, each must match one of its lines.
matches() {
    "$dir/$1" >"$work/out" 2>&1
    rc=$?
    normal <"$work/out" >"$work/got"
    while IFS= read -r want; do
        grep -qE "$want" "$work/got" || { rc=1; echo "no line matches: $want"; }
    done
    verdict "$1" $rc
}

exact hello <<'END'
sandbox ID
Hello from Linux
exit code 0
END

matches stream_output <<'END'
^started as pid N$
^stdout: line 1$
^stdout: line 2$
^stdout: line 3$
^stderr: a warning$
^31 bytes in N pieces, exit code 3 \(exit status 3\)$
END

matches files <<'END'
^wrote /.*/example/poem\.txt$
^  -rw-r--r-- +38 /.*/example/poem\.txt$
^  drwxr-xr-x .* /.*/example/sub$
^  -rw-r--r-- +20 /.*/example/sub/local\.txt$
^read 38 bytes back: the same$
^written from a FILE$
^old\.txt: 38 bytes of user$
^afterwards it is gone$
END

exact two_at_once <<'END'
[left]  1
[left]  2
[left]  3
[right] a
[right] b
[right] c
[left]  ended with 0
[right] ended with 0
END

exact background <<'END'
started as pid N
ready
12 squared is 144
34 squared is 1156
no more input
exit code -1 (signal: killed)
END

matches watch <<'END'
^created sub/a
^written sub/a
^renamed sub/a$
^created sub/b
^changed sub/b
^removed sub/b$
^created the end
END

mkdir -p "$work/src"
printf 'int main(void) { return 0; }\n' >"$work/src/a.c"
printf 'not taken\n' >"$work/src/b.txt"
"$dir/template_build" "$work/src" >"$work/out" 2>&1
rc=$?
for want in '^Requesting build for template: sandbox-h-example$' "^Uploaded '\*\.c'$" '^step 1 of 4$' \
    '^Build finished$\|^hello from the build$'; do
    grep -q "$want" "$work/out" || { rc=1; echo "no line matches: $want"; }
done
verdict template_build $rc

printf 'FROM e2bdev/base\nEXPOSE 80\nHEALTHCHECK CMD true\nCOPY a.c /opt/\nRUN cat /opt/a.c\n' \
    >"$work/src/Dockerfile"
"$dir/dockerfile_build" "$work/src" sandbox-h-dockerfile >"$work/out" 2>&1
rc=$?
for want in '^line 3: Unsupported instruction: HEALTHCHECK$' 'int main(void)' '^built '; do
    grep -q "$want" "$work/out" || { rc=1; echo "no line matches: $want"; }
done
verdict dockerfile_build $rc

matches template_from_memory <<'END'
^template [A-Za-z0-9_-]+$
END

python3 tests/live/pty_shell_check.py "$dir/pty_shell" >"$work/out" 2>&1
verdict pty_shell $?

if [ "$(uname -s)" = Linux ]; then
    matches epoll_loop <<'END'
^one: 1$
^one: 2$
^one: 3$
^two: a$
^two: b$
^timer: rings$
^one: SBX_OK$
^two: SBX_OK$
END
fi

threads() { # PROGRAM
    exact "$1" <<'END'
exit code 0: first
exit code 2: second
END
}
threads two_threads
[ ! -s "$dir/../tsan/flags" ] || threads ../tsan/two_threads

exact pause_resume <<'END'
paused
resumed: yes
  sleep 0.5; test $(cat count) -gt 1 && echo it counts -> it counts
  echo prepared > work; cat work -> prepared
snapshot made
  cat work -> prepared
snapshot deleted
END

matches error_handling <<'END'
^wrong key: SBX_E_AUTH$
^nobody there: SBX_E_CONNECT$
^unknown template: SBX_E_(NOT_FOUND|REFUSED)$
^missing file: SBX_E_NOT_FOUND$
^directory as a file: SBX_E_NOT_A_FILE$
^command that fails: SBX_OK$
^    exit code 7$
^command too long: SBX_E_KILLED$
^call too long: SBX_E_TIMEOUT$
^    the clock of the whole call ran out$
^sandbox that was killed: SBX_E_SANDBOX_GONE$
END

matches invoke <<'END'
^volumes\.create +POST +/volumes$
^create: ok$
"GREETING": ?"hello"
^sandbox\.envs: ok$
"cpu_count":
^sandbox\.metrics: ok$
^secrets\.get: unknown argument: id$|^secrets\.get: argument is missing or empty: secretID$
^secret\.get: no such route: sbx_invoke_route\(\) lists their names$
END

# Against a peer with recorded replies: sandboxd has no code interpreter.
python3 tests/peer/code.py "$dir/run_code" >"$work/out" 2>&1
rc=$?
cat >"$work/want" <<'END'
> x = 20; print('hello')
hello
> x + 1
value: 21
> plot(x)
value: <Figure>
an image of 8 bytes
> 1 / 0
ZeroDivisionError: division by zero
line 1
END
cmp -s "$work/want" "$work/out" || rc=1
verdict run_code $rc

# The building blocks: no network.
exact json_stream <<'END'
3 of 26 events were a value of "name"
a "quoted" one
café
null
END

exact json_write <<'END'
"
SBX_E_ARG
{"sensor":"roof \"north\"\n","ok":true,"uptime_ms":9007199254740993,"raw":"AAEC/f7/","series":[21,-4,0],"limits":{"max":1.5},"error":null}
END

exact http_reader <<'END'
  content-type: text/plain
  transfer-encoding: chunked
  | Hello,
  | world
11 bytes of body, 13 bytes belong to the next response
status 200, in chunks
END

head -c 100000 /dev/urandom >"$work/raw"
"$dir/base64" <"$work/raw" >"$work/text" && base64 -w 0 "$work/raw" | diff -b - "$work/text" >"$work/out" &&
    base64 "$work/raw" | "$dir/base64" -d | cmp - "$work/raw" >>"$work/out" &&
    ! printf 'AB*D' | "$dir/base64" -d >"$work/out" 2>&1 && ! printf A | "$dir/base64" -d >"$work/out" 2>&1
verdict base64 $?

# Without a key an example must say what is missing, and fail.
if env -u E2B_API_KEY "$dir/hello" >"$work/out" 2>&1 || ! grep -q "API key" "$work/out"; then
    echo "hello without a key did not say that the API key is missing"
    verdict "hello without a key" 1
else
    verdict "hello without a key" 0
fi

for source in examples/*.c; do
    lines=$(wc -l <"$source")
    [ "$lines" -le 100 ] || { echo "$source has $lines lines, the limit is 100"; failed=$((failed + 1)); }
done
echo "$passed passed, $failed failed, 0 skipped"
[ $failed = 0 ]
