"""``edge-ssd tune``: which runtime, form of the model file and threads are fastest here.

``candidates`` are what there is to choose from, ``measuring`` runs them, ``report`` chooses and
shows, ``writing`` keeps the choice.
"""
