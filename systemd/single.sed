# Makes edge-ssd.service, the unit of a single camera, from edge-ssd@.service:
# sed -f single.sed edge-ssd@.service
s/edge-ssd-%i/edge-ssd/g
s/%i/edge-ssd/g
