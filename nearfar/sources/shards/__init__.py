"""Shards: files that hold many examples each, any of which is read by its number.

=============================================  =====================================================
:mod:`~nearfar.sources.shards.places`          where shards are: files, folders, patterns of names
:mod:`~nearfar.sources.shards.finding`         what a user's words for them mean, and parts of data sets
:mod:`~nearfar.sources.shards.remote`          shards at URLs
:mod:`~nearfar.sources.shards.cache`           what was fetched from there, up to a number of bytes
:mod:`~nearfar.sources.shards.tar`             what lies inside of tar archives, damaged ones too
:mod:`~nearfar.sources.shards.zip`             the same of zip archives
:mod:`~nearfar.sources.shards.index`           that, kept
:mod:`~nearfar.sources.shards.members`         chosen members of many shards, read by number
:mod:`~nearfar.sources.shards.writing`         new shards, each whole or absent
:mod:`~nearfar.sources.shards.samples`         members that are one example, by webdataset's rule
=============================================  =====================================================
"""
