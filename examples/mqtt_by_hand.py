"""Publish the labels in a video's frames: python mqtt_by_hand.py VIDEO HOST PORT"""

import sys

from paho.mqtt.client import CallbackAPIVersion, Client

from edge_ssd import stream

client = Client(CallbackAPIVersion.VERSION2)
client.connect(sys.argv[2], int(sys.argv[3]))
client.loop_start()
for result in stream(sys.argv[1]):
    labels = ", ".join(found.label for found in result.detections)
    client.publish("camera/labels", labels).wait_for_publish()
client.disconnect()
