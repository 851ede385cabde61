# One other line of output is reported.
# expect: stdout
seq 100; echo $SIDE; seq 100
