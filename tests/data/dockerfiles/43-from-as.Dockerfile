FROM python:3.12 as Base
CMD python app.py --name="a b"
