FROM python:3.11
RUN <<EOF
set -e
pip install numpy
python - <<'PY'
print("inner")
PY
EOF
RUN python3 <<PY
import sys
print(sys.version)
PY
